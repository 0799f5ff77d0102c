<?xml version="1.0" encoding="utf-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:ed="http://schemas.microsoft.com/BizTalk/EDI/EDIFACT/2006">
  <xsl:output method="xml" encoding="utf-8"/>
  <xsl:template match="/Invoice">
    <ed:EFACT_D96A_INVOIC>
      <ed:BGM>
        <ed:C002><C00201>380</C00201></ed:C002>
        <BGM02><xsl:value-of select="@number"/></BGM02>
        <BGM03>9</BGM03>
      </ed:BGM>
      <ed:DTM>
        <ed:C507>
          <C50701>137</C50701>
          <C50702><xsl:value-of select="translate(@date, '-', '')"/></C50702>
          <C50703>102</C50703>
        </ed:C507>
      </ed:DTM>
      <xsl:for-each select="Line">
        <ed:LINLoop1>
          <ed:LIN>
            <LIN01><xsl:value-of select="position()"/></LIN01>
            <ed:C212><C21201><xsl:value-of select="@item"/></C21201><C21202>EN</C21202></ed:C212>
          </ed:LIN>
          <ed:QTY><ed:C186><C18601>47</C18601><C18602><xsl:value-of select="@quantity"/></C18602></ed:C186></ed:QTY>
        </ed:LINLoop1>
      </xsl:for-each>
      <ed:MOALoop1>
        <ed:MOA><ed:C516><C51601>77</C51601><C51602><xsl:value-of select="@total"/></C51602></ed:C516></ed:MOA>
      </ed:MOALoop1>
    </ed:EFACT_D96A_INVOIC>
  </xsl:template>
</xsl:stylesheet>
