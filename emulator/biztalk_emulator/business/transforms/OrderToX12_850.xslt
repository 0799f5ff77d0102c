<?xml version="1.0" encoding="utf-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:x12="http://schemas.microsoft.com/BizTalk/EDI/X12/2006">
  <xsl:output method="xml" encoding="utf-8"/>
  <xsl:template match="/Order">
    <x12:X12_00401_850>
      <ST><ST01>850</ST01></ST>
      <x12:BEG>
        <BEG01>00</BEG01>
        <BEG02>SA</BEG02>
        <BEG03><xsl:value-of select="@number"/></BEG03>
        <BEG05><xsl:value-of select="translate(@date, '-', '')"/></BEG05>
      </x12:BEG>
      <xsl:apply-templates select="Line"/>
      <x12:CTTLoop1>
        <x12:CTT><CTT01><xsl:value-of select="count(Line)"/></CTT01></x12:CTT>
      </x12:CTTLoop1>
    </x12:X12_00401_850>
  </xsl:template>
  <xsl:template match="Line">
    <x12:PO1Loop1>
      <x12:PO1>
        <PO101><xsl:value-of select="position()"/></PO101>
        <PO102><xsl:value-of select="@quantity"/></PO102>
        <PO103>EA</PO103>
        <PO104><xsl:value-of select="@price"/></PO104>
        <PO106>UP</PO106>
        <PO107><xsl:value-of select="@item"/></PO107>
      </x12:PO1>
    </x12:PO1Loop1>
  </xsl:template>
</xsl:stylesheet>
