"""The auditor's verifier: stands alone and shares no code with the rest of gameday."""
