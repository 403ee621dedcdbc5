#!/usr/bin/env bash
# Reads names of files, and says for each line of more than 160 characters where it is, in the form that MSBuild takes for an error.
set -euo pipefail
export LC_ALL=C.UTF-8
found=0
while IFS= read -r file; do
  [[ $file != */obj/* ]] || continue
  while IFS=: read -r line _; do
    echo "$file($line): error CODO160: a line is longer than 160 characters"
    found=1
  done < <(grep -nE '^.{161,}$' "$file" || true)
done
exit "$found"
