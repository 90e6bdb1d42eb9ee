"""Services to try stressrun on."""
