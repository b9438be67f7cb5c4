"""Who belongs to the network: owner key, vouchers, certificates, revocations."""
