<?xml version="1.0" encoding="utf-8"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:ed="http://schemas.microsoft.com/BizTalk/EDI/EDIFACT/2006" exclude-result-prefixes="ed">
  <xsl:output method="xml" encoding="utf-8"/>
  <xsl:template match="/ed:EFACT_D96A_ORDERS">
    <xsl:variable name="date" select="ed:DTM/ed:C507[C50701 = '137']/C50702"/>
    <Order number="{ed:BGM/BGM02}"
        date="{concat(substring($date, 1, 4), '-', substring($date, 5, 2), '-', substring($date, 7, 2))}">
      <xsl:for-each select="ed:LINLoop1">
        <Line item="{ed:LIN/ed:C212/C21201}" quantity="{ed:QTY/ed:C186[C18601 = '21']/C18602}"
            price="{ed:PRILoop1/ed:PRI/ed:C509[C50901 = 'AAA']/C50902}"/>
      </xsl:for-each>
    </Order>
  </xsl:template>
</xsl:stylesheet>
