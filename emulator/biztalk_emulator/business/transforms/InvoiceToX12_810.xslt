<?xml version="1.0" encoding="utf-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:x12="http://schemas.microsoft.com/BizTalk/EDI/X12/2006">
  <xsl:output method="xml" encoding="utf-8"/>
  <xsl:template match="/Invoice">
    <x12:X12_00401_810>
      <ST><ST01>810</ST01></ST>
      <x12:BIG>
        <BIG01><xsl:value-of select="translate(@date, '-', '')"/></BIG01>
        <BIG02><xsl:value-of select="@number"/></BIG02>
        <BIG04><xsl:value-of select="@order"/></BIG04>
      </x12:BIG>
      <xsl:for-each select="Line">
        <x12:IT1Loop1>
          <x12:IT1>
            <IT101><xsl:value-of select="position()"/></IT101>
            <IT102><xsl:value-of select="@quantity"/></IT102>
            <IT103>EA</IT103>
            <IT104><xsl:value-of select="@price"/></IT104>
            <IT106>UP</IT106>
            <IT107><xsl:value-of select="@item"/></IT107>
          </x12:IT1>
        </x12:IT1Loop1>
      </xsl:for-each>
      <x12:TDS><TDS01><xsl:value-of select="format-number(@total * 100, '0')"/></TDS01></x12:TDS>
    </x12:X12_00401_810>
  </xsl:template>
</xsl:stylesheet>
