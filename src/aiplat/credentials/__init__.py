"""The OS keyring and what stands in for it: a person's secrets. The one place of `keyring`."""
