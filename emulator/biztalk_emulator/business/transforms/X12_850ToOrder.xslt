<?xml version="1.0" encoding="utf-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:x12="http://schemas.microsoft.com/BizTalk/EDI/X12/2006" exclude-result-prefixes="x12">
  <xsl:output method="xml" encoding="utf-8"/>
  <xsl:template match="/x12:X12_00401_850">
    <xsl:variable name="date" select="x12:BEG/BEG05"/>
    <Order number="{x12:BEG/BEG03}"
        date="{concat(substring($date, 1, 4), '-', substring($date, 5, 2), '-', substring($date, 7, 2))}">
      <xsl:for-each select="x12:PO1Loop1/x12:PO1">
        <Line item="{PO107}" quantity="{PO102}" price="{PO104}"/>
      </xsl:for-each>
    </Order>
  </xsl:template>
</xsl:stylesheet>
