"""Checks what is in deploy/: `python3 deploy/check FOLDER`, with the packages of requirements.txt; FOLDER gets what was rendered."""

import sys

import chart
import compose
import monitoring
from common import Problems, check_links

problems = Problems()
check_links(problems)
for summary in (compose.check(problems), chart.check(problems, sys.argv[1]), monitoring.check(problems, sys.argv[1])):
    print(summary)
for problem in problems.found:
    print(problem, file=sys.stderr)
sys.exit(bool(problems.found))
