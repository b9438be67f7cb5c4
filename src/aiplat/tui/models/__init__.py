"""The models of this machine: what lies here, what is offered, what is brought."""
