#!/bin/sh
# Run the parts of the suite that are named (each is a make target), all of them even if one fails, and print each one's seconds.
# One that is named +PART as well is begun there, with what the processors have left, and waited for at its own turn.

report=
failed=
ahead= begun=
trap '[ -z "$ahead" ] || kill -- "-$ahead" 2>/dev/null' EXIT
trap 'exit 130' INT TERM

for part in "$@"; do
  if [ "$part" != "${part#+}" ]; then
    setsid nice -n 19 "${MAKE:-make}" --no-print-directory "${part#+}" &
    ahead=$! begun=${part#+}
    continue
  fi
  echo ">> $part"
  began=$(date +%s)
  [ "$part" != "$begun" ] || { wait "$ahead"; ahead=; }  # what went wrong there, goes wrong here again
  if ${MAKE:-make} --no-print-directory "$part"; then said=passed; else said=FAILED failed="$failed $part"; fi
  report="$report$(printf '%-12s %6d s  %s' "$part" $(($(date +%s) - began)) "$said")
"
done

printf '\n%s' "$report"
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
