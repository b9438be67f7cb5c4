"""Models of a server that speaks the OpenAI API: vLLM, SGLang, llama.cpp, Ollama and the like.

It runs in the node's process, on httpx and trio: there is nothing to compute here.
"""
