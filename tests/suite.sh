#!/bin/sh
# Run the parts of the suite that are named (each is a make target), all of them even if one fails, and print each one's seconds.

report=
failed=

for part in "$@"; do
  echo ">> $part"
  began=$(date +%s)
  if ${MAKE:-make} --no-print-directory "$part"; then said=passed; else said=FAILED failed="$failed $part"; fi
  report="$report$(printf '%-12s %6d s  %s' "$part" $(($(date +%s) - began)) "$said")
"
done

printf '\n%s' "$report"
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
