"""`make bench`: the budgets, measured in one run with the kinds of login interleaved (docs/benchmark.md)."""

import argparse

from tests.bench import deciders, footprint, full_ring, latency, proxied, rules, service_alone, throughput
from tests.bench.budget import render
from tests.bench.stage import set_up


def main() -> None:
    """Measure, print the tables, and as the last line the added latency."""
    options = _options()
    print(render("the rules alone", rules.rows()), flush=True)
    print(render("asking a decider", deciders.rows()), flush=True)
    per_round = options.logins // options.rounds
    with set_up() as stage:
        print("making tokens ...", flush=True)
        logins = stage.logins(cold=max(options.logins, options.latency + 20))
        long_token = stage.token(padding=2500)
        print(render("memory and start", footprint.rows(stage, logins, long_token)), flush=True)
        alone = service_alone.rows(stage, logins.warm, stage.logins(cold=options.alone).cold)
        print(render("the service alone", alone), flush=True)
        rates = throughput.measure(logins, options.rounds, per_round)
        print(render("fifty logins at a time, over TLS", throughput.rows(rates)), flush=True)
        fresh = stage.logins(cold=options.latency + 20)
        found = latency.measure(fresh, options.latency)
        print(render("one login at a time, over TLS", latency.rows(found)), flush=True)
        print(render("the local proxy", proxied.rows(stage, logins)), flush=True)
        print(render("memory, as full as it gets", full_ring.rows(stage)), flush=True)
        print(latency.verdict_line(found))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=int, default=400, help="logins of each kind, one at a time")
    parser.add_argument(
        "--logins", type=int, default=2000, help="logins of each kind, 50 at a time, all rounds together"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which the kinds take turns")
    parser.add_argument("--alone", type=int, default=4000, help="tokens for the service alone")
    return parser.parse_args()


if __name__ == "__main__":
    main()
