"""What the graphs show: minute rows folded to hours, bounded, in SQLite. On every node."""
