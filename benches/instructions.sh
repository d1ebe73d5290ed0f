#!/bin/sh
# Counts the instructions that each case takes, compares them with the committed ones, and fails when one grew by more than 5 %.
#   sh benches/instructions.sh [--bless]
# Counts, not times, because they are the same in every run, on busy machines too. They depend on the compiler and on the
# CPU features that code is picked by at run time; valgrind shows every program the same ones on any recent x86-64, so
# there the counts hold from machine to machine, and the head of the file says for which compiler. Where either differs, this
# compares nothing and says so; `--bless` writes the file anew.
set -eu
cd "$(dirname "$0")"
file=instructions.txt
tolerance_percent=5

command -v valgrind >/dev/null 2>&1 || { echo "instructions: valgrind is needed: apt-get install valgrind" >&2; exit 2; }

here="rustc $(rustc -V | cut -d' ' -f2), $(uname -m)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# A function that callgrind can be told of must keep its name, so nothing is stripped.
runner="['valgrind','--tool=callgrind','--quiet','--callgrind-out-file=$work/out','--toggle-collect=*::counted','--dump-after=*::counted']"
CARGO_PROFILE_BENCH_STRIP=none cargo --config "target.'cfg(all())'.runner=$runner" bench --quiet --bench instructions >"$work/names" 2>"$work/log" ||
    { cat "$work/log" >&2; exit 1; }

# The n-th dump is the n-th name's; each is of ten runs.
at=0
while read -r name; do
    at=$((at + 1))
    total=$(sed -n 's/^\(summary\|totals\): //p' "$work/out.$at" | head -n 1)
    echo "$name $((total / 10))"
done <"$work/names" >"$work/new"

if [ "${1-}" = --bless ]; then
    { echo "# $here; instructions a run, by case; see instructions.sh"; cat "$work/new"; } >"$file"
    cat "$file"
    exit 0
fi

status=0
known=$(sed -n '1s/^# \(.*\); instructions.*/\1/p' "$file")
if [ "$known" != "$here" ]; then
    echo "instructions: the counts in $file are of $known and this is $here: nothing is compared" >&2
    tolerance_percent=1000000
fi
awk -v tolerance="$tolerance_percent" '
    /^#/ { next }
    NR == FNR { known[$1] = $2; next }
    {
        seen[$1] = 1
        if (!($1 in known)) { printf "%-28s %9d        new\n", $1, $2; next }
        change = (known[$1] > 0) ? 100 * ($2 - known[$1]) / known[$1] : 0
        # A handful of instructions is a different spill, not a regression.
        slower = change > tolerance && $2 - known[$1] > 20
        printf "%-28s %9d %+9.1f %%%s\n", $1, $2, change, slower ? "  SLOWER" : ""
        if (slower) failed = 1
    }
    END {
        for (name in known) if (!(name in seen)) { printf "%-28s is gone\n", name; failed = 1 }
        exit failed
    }' "$file" "$work/new" || status=1
[ "$status" = 0 ] || echo "instructions: more than $tolerance_percent % slower, or gone; if that is wanted: sh benches/instructions.sh --bless" >&2
exit "$status"
