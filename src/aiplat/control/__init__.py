"""What a face (terminal, command line, web page) may ask of a node: messages, ports, client."""
