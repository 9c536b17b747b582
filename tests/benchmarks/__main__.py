"""`make bench`: every benchmark, one after another."""

from tests.benchmarks import bench_gateway

if __name__ == "__main__":
    bench_gateway.main()
