"""How peers find each other: kept addresses, mDNS, the DHT."""
