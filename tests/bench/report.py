"""The table of a result, in Markdown: medians of the rounds, and the median of the rounds' ratios. Ratios above 1 say that Congvu is
better. report.py RESULT.json [README.md] prints it, or puts it between the marks in README.md."""

import json
import pathlib
import re
import statistics
import sys

UNIT = {"rate": "/s", "ms": "ms", "kib": "KiB"}
PEERS = ("shipped", "tuned")


def number(v):
    if v is None:
        return "–"
    if v >= 100:
        return "{:,.0f}".format(v)
    return "%.3g" % v


def median(samples, key):
    values = [s[key] for s in samples if s.get(key) is not None]
    return statistics.median(values) if values else None


def ratio(entry, other, key, more_is_better):
    """The median over the rounds of ours against theirs."""
    ours, theirs = entry["samples"].get("congvu", []), entry["samples"].get(other, [])
    pairs = [(a[key], b[key]) for a, b in zip(ours, theirs) if a.get(key) and b.get(key)]
    if not pairs:
        return None
    return statistics.median(a / b if more_is_better else b / a for a, b in pairs)


def times(v):
    return "–" if v is None else "%.1f×" % v


def main_rows(result):
    for entry in result["loads"].values():
        figure = entry["figure"]
        cells = [entry["what"]]
        for side in ("congvu",) + PEERS:
            v = median(entry["samples"].get(side, []), figure)
            cells.append("–" if v is None else "%s %s" % (number(v), UNIT[figure]))
        cells += [times(ratio(entry, p, figure, figure == "rate")) for p in PEERS]
        for side in ("congvu",) + PEERS:
            cells.append(number(median(entry["samples"].get(side, []), "cpu_ms")))
        cells += [times(ratio(entry, p, "cpu_ms", False)) for p in PEERS]
        yield cells


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(" --- " if n == 0 else " ---: " for n in range(len(head))) + "|"]
    return lines + ["| " + " | ".join(r) + " |" for r in rows]


def latency_rows(result):
    for entry in result["loads"].values():
        if not any(s.get("p50_ms") is not None for ss in entry["samples"].values() for s in ss):
            continue
        row = [entry["what"]]
        for side in ("congvu",) + PEERS:
            ss = entry["samples"].get(side, [])
            row.append("%s / %s" % (number(median(ss, "p50_ms")), number(median(ss, "p99_ms"))))
        yield row


def calls_rows(result):
    for entry in result["loads"].values():
        if any(entry["calls"].values()):
            row = [entry["what"]]
            for side in ("congvu",) + PEERS:
                c = entry["calls"].get(side)
                row.append("–" if not c else "%s / %s" % (number(c["calls"]), number(c["syncs"])))
            yield row


def milter_rows(result):
    for entry in result["loads"].values():
        ss = entry["samples"].get("milter")
        if ss:
            yield [entry["what"], "%s %s" % (number(median(ss, entry["figure"])), UNIT[entry["figure"]]), number(median(ss, "cpu_ms")),
                   "%s / %s" % (number(median(ss, "p50_ms")), number(median(ss, "p99_ms")))]


def cyrus_rows(result):
    for entry in result["loads"].values():
        ss = entry["samples"].get("cyrus")
        if ss:
            figure, ours = entry["figure"], entry["samples"].get("congvu", [])
            yield [entry["what"], "%s %s" % (number(median(ours, figure)), UNIT[figure]), "%s %s" % (number(median(ss, figure)), UNIT[figure]),
                   times(ratio(entry, "cyrus", figure, figure == "rate")), number(median(ours, "cpu_ms")), number(median(ss, "cpu_ms")),
                   times(ratio(entry, "cyrus", "cpu_ms", False))]


def generator_lines(result):
    shares = []
    for entry in result["loads"].values():
        for side, ss in entry["samples"].items():
            for s in ss:
                if side == "congvu" and s.get("generator_ms") and s.get("rate"):
                    shares.append((s["generator_ms"] * s["rate"] / 1000, entry["what"]))
    if shares:
        worst = max(shares)
        yield "The generators took at most %.2f of a CPU while Congvu was loaded (%s)." % worst
    if result.get("sink"):
        yield "Against a sink that keeps nothing they reach: " + "; ".join(
            "%s %s/s" % (name, number(rate)) for name, rate in result["sink"].items()) + "."


def auth_part(result):
    import auth_bench
    return ["", "Logins, without a mail protocol: congvu-lookup (with tickets, rights and sender identities) and Dovecot's auth, with and without their caches, on one slapd, "
            "16 under way. The goal is at most a third of the CPU (3×). Load average %s:" % "/".join("%.1f" % v for v in result["load_average"]),
            ""] + table(auth_bench.HEAD, auth_bench.rows(result, number))


def milter_part(result):
    import milter_bench
    m = result.get("memory")
    out = ["", "Signed mails through libmilter (no SMTP server; warm CRLs), beside libcrypto's CMS_verify of the same bytes and opendkim on the same body. CPU ms a "
           "message; the share is CMS_verify's CPU of ours; load average %s:" % "/".join("%.1f" % v for v in result["load_average"]), ""]
    out += table(["mail", "Congvu", "CPU ms", "p50 / p99 ms", "goal p99", "CMS_verify", "share", "opendkim", "× opendkim"], milter_bench.rows(result, number))
    if m:
        out += ["", "Memory: %.0f MiB idle (PSS of all of the milter's processes); with %d messages of %.0f MB held before their end PSS %.0f MiB, %.0f MiB in memory files and %.0f MiB on disk; PSS at most "
                "%.0f MiB while they are judged, the slowest after %.1f s." % (m["idle_pss"] / 2**20, m["sessions"], m["octets"] / 1e6, m["held_pss"] / 2**20, m["held"]["memory"] / 2**20, m["held"]["disk"] / 2**20,
                                                                             m["peak_pss"] / 2**20, m["max_ms"] / 1000)]
    return out


def markdown(result):
    m = result.get("meta", {})
    out = []
    if m:
        out += ["%s, %d CPUs, kernel %s, %s; Postfix %s, Dovecot %s, slapd %s. Revision %s, %d rounds, %.0f s; load average at the end %s." % (
            m["date"], m["cpus"], m["kernel"], m["filesystem"], m["packages"]["postfix"], m["packages"]["dovecot-core"], m["packages"]["slapd"],
            m["revision"], m["rounds"], m["seconds"], "/".join("%.1f" % v for v in m["load_average"])), "",
            "CPU: %s. System calls: %s." % (m["cpu"], m["calls"]), ""]
    out += table(["load", "Congvu", "shipped", "tuned", "× shipped", "× tuned", "CPU ms: Congvu", "shipped", "tuned", "× shipped", "× tuned"],
                 main_rows(result))
    for title, head, rows in (
            ("Latency, p50 / p99 in ms:", ["load", "Congvu", "shipped", "tuned"], latency_rows(result)),
            ("System calls / syncs of an operation:", ["load", "Congvu", "shipped", "tuned"], calls_rows(result)),
            ("Reading, beside Cyrus %s (as Debian ships it, unpacked; CPU ms):" % m.get("packages", {}).get("cyrus-imapd", ""),
             ["load", "Congvu", "Cyrus", "×", "CPU: Congvu", "Cyrus", "×"], cyrus_rows(result)),
            ("Congvu with its milter (all rules, audit log durable before the answer):", ["load", "figure", "CPU ms", "p50 / p99 ms"],
             milter_rows(result))):
        rows = list(rows)
        if rows:
            out += ["", title, ""] + table(head, rows)
    if result.get("disk"):
        out += ["", "Bytes on disk of a message, and PSS of the idle side after all loads:", ""] + table(
            ["side", "4 KB", "100 KB", "PSS MiB", "processes"],
            ([s, "{:,.0f}".format(d["4k"]), "{:,.0f}".format(d["100k"]), "%.0f" % (result["pss"][s][0] / 1048576), str(result["pss"][s][1])]
             for s, d in result["disk"].items()))
    if result.get("auth"):
        out += auth_part(result["auth"])
    if result.get("milter"):
        out += milter_part(result["milter"])
    lines = list(generator_lines(result))
    if lines:
        out += [""] + lines
    return "\n".join(out)


def into(path, result):
    """Between the marks; the rest of the page stays."""
    path = pathlib.Path(path)
    text = path.read_text(encoding="utf-8")
    new, n = re.subn(r"(<!-- table: written by report.py -->\n).*?(<!-- end of the table -->)",
                     lambda m: m.group(1) + "\n" + markdown(result) + "\n\n" + m.group(2), text, flags=re.S)
    if n != 1:
        raise SystemExit("report: no marks in %s" % path)
    path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    data = json.loads(pathlib.Path(sys.argv[1]).read_text())
    if len(sys.argv) > 2:
        into(sys.argv[2], data)
    else:
        print(markdown(data))
