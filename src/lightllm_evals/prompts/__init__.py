"""Sample to prompt, one module a family of benchmarks. Pure: no network, disk or clock."""
