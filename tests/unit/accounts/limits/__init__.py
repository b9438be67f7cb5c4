"""Tests of the limits: each rule by itself, and crowds that come back when they are told."""
