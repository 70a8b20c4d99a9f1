"""Makes statistics.json: what scipy and numpy say, for src/compare to be held to.

    python3 -m venv venv && venv/bin/pip install scipy numpy
    venv/bin/python tests/vectors/statistics.py > tests/vectors/statistics.json
"""

import json

import numpy
import scipy
from scipy import stats

random = numpy.random.default_rng(20261122)


def wilson():
    for count, of in [(1, 10), (3, 1204), (7, 7000), (50, 100), (930, 1000), (1119, 1204), (299, 300)]:
        found = stats.binomtest(count, of).proportion_ci(0.95, method="wilson")
        yield {"count": count, "of": of, "low": found.low, "high": found.high}


def needed():
    """The least n whose largest value is above the quantile in 95 of 100 cases."""
    for per_mille in [500, 900, 950, 990]:
        n = 1
        while stats.binom.pmf(n, n, per_mille / 1000) > 0.05:
            n += 1
        yield {"per_mille": per_mille, "needed": n}


def samples():
    skewed = numpy.round(random.lognormal(15, 1.5, 1204)).astype(int)
    ties = random.integers(-5, 5, 400)
    for values in [skewed, ties, numpy.array([7]), numpy.array([3, 1])]:
        quantiles = [
            {"per_mille": p, "value": int(numpy.quantile(values, p / 1000, method="inverted_cdf"))}
            for p in [500, 900, 950, 990]
        ]
        at = numpy.unique(values)
        curve = stats.ecdf(values).cdf.evaluate(at)
        step = max(len(at) // 20, 1)
        yield {
            "values": values.tolist(),
            "quantiles": quantiles,
            "ecdf": [[int(x), float(y)] for x, y in zip(at[::step], curve[::step])],
        }


def histograms():
    values = numpy.sort(numpy.round(random.normal(14.2e6, 9e6, 3000)).astype(int))
    width = 1_000_000
    edges = numpy.arange(-60 * width, 100 * width + 1, width)
    counts, _ = numpy.histogram(values, edges)
    yield {
        "values": values.tolist(),
        "width": width,
        "counts": [[int(edge), int(count)] for edge, count in zip(edges, counts) if count],
    }


def clustered():
    """Leads that move together within an answer, and cluster-bootstrapped intervals."""
    for clusters in [12, 60, 300]:
        sizes = random.integers(1, 12, clusters)
        block = numpy.repeat(numpy.arange(clusters), sizes)
        shared = random.normal(8e6, 12e6, clusters)
        values = numpy.round(shared[block] + random.normal(0, 4e6, len(block))).astype(int)
        above = values > 0
        # The design effect, from the entries' residuals.
        p = above.mean()
        residuals = numpy.bincount(block, weights=above - p)
        variance = (residuals**2).sum() * clusters / (clusters - 1) / len(block) ** 2
        effect = variance / (p * (1 - p) / len(block))
        # Medians over clusters drawn with replacement.
        parts = [values[block == number] for number in range(clusters)]
        draws = 20_000
        medians = numpy.empty(draws)
        for draw in range(draws):
            chosen = random.integers(0, clusters, clusters)
            drawn = numpy.concatenate([parts[number] for number in chosen])
            medians[draw] = numpy.quantile(drawn, 0.5, method="inverted_cdf")
        # Hesterberg's expanded percentile interval.
        factor = numpy.sqrt(clusters / (clusters - 1)) * stats.t.ppf(0.975, clusters - 1)
        tail = stats.norm.sf(factor)
        medians.sort()

        def around(share):
            """The draws of another program end between these."""
            shares = [share * 0.6, share * 1.6] if share < 0.5 else [1 - (1 - share) * 1.6, 1 - (1 - share) * 0.6]
            return [int(numpy.quantile(medians, share, method="inverted_cdf")) for share in shares]

        yield {
            "values": values.tolist(),
            "block": block.tolist(),
            "above_zero": int(above.sum()),
            "design_effect": float(effect),
            "median": int(numpy.quantile(values, 0.5, method="inverted_cdf")),
            "low": around(tail),
            "high": around(1 - tail),
        }


json.dump(
    {
        "made_by": f"scipy {scipy.__version__}, numpy {numpy.__version__}",
        "wilson": list(wilson()),
        "needed": list(needed()),
        "student": [[f, stats.t.ppf(0.975, f)] for f in [9, 11, 29, 100, 1023]],
        "normal_above": [[z, stats.norm.sf(z)] for z in [0.0, 0.5, 1.0, 1.96, 2.384, 3.0]],
        "samples": list(samples()),
        "histograms": list(histograms()),
        "clustered": list(clustered()),
    },
    __import__("sys").stdout,
    separators=(",", ":"),
)
