"""How late a unary call is after a pause: pause_latency.py [CALLS]. A measurement, no test.

Calls tokenizer services, eight side by side, each after pauses of 0.5 to 3.5 seconds, and prints percentiles of the calls'
times; then a gateway with its two services behind it.
"""
import concurrent.futures
import random
import sys
import time

import grpc

import services

SERVERS = 8


def times(address, method, calls):
    """Of each call, in seconds."""
    call, seconds = grpc.insecure_channel(address).unary_unary("/" + method), []
    call(b"")  # An empty message, whatever its type.
    for _ in range(calls):
        time.sleep(random.uniform(0.5, 3.5))
        start = time.perf_counter()
        call(b"")
        seconds.append(time.perf_counter() - start)
    return seconds


def report(method, seconds):
    seconds.sort()
    figures = (f"{name} {1e3 * seconds[min(int(share * len(seconds)), len(seconds) - 1)]:.1f} ms"
               for name, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("worst", 1)))
    late = sum(s > 0.02 for s in seconds)
    print(f"{method}, {len(seconds)} calls:", ", ".join(figures), f"; {late} above 20 ms", flush=True)


def main():
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    random.seed(1)
    tokenizers = [services.Service("lnb-tokenizer", "llama.v1.TokenizerService", f"--model_dir={services.STORIES}")
                  for _ in range(SERVERS)]
    for tokenizer in tokenizers:
        tokenizer.wait_until_ready()
    method = "llama.v1.TokenizerService/GetTokenizerInfo"
    with concurrent.futures.ThreadPoolExecutor(SERVERS) as pool:
        done = list(pool.map(lambda tokenizer: times(tokenizer.address, method, calls), tokenizers))
    report(method, [seconds for one in done for seconds in one])
    for tokenizer in tokenizers:
        tokenizer.close()
    with services.Services() as running:
        running.gateway.wait_until_ready()
        method = "llama.v1.GatewayService/GetInfo"
        report(method, times(running.gateway.address, method, calls))


if __name__ == "__main__":
    main()
