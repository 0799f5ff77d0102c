"""The data port: Access Control tokens (WRAP) and the trading partner management of each service (TPM OData)."""
