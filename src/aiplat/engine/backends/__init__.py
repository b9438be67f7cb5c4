"""What computes: one module or folder a backend. torch and transformers stay in here."""
