def measure(options): return {}
