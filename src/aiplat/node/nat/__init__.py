"""Behind NAT: a relay over streams, AutoNAT, hole punching."""
