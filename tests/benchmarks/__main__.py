"""`make bench`: every benchmark, one after another."""

from tests.benchmarks import bench_gateway, bench_ledger, bench_overhead

if __name__ == "__main__":
    bench_gateway.main()
    bench_ledger.main()
    bench_overhead.main()
