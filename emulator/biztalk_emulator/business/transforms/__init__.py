"""The maps of the sample fleet: XSLT 1.0 between application documents and the XML forms of X12 and EDIFACT."""
