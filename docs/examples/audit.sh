#!/usr/bin/env bash
# Audit a model in any pipeline: 0 pass, 1 fail, 4 what was asked for does not exist. All values come as variables.
set -uo pipefail
report=${AES_AUDIT_REPORT:-aes-audit-report}
options=("--audit-report=$report" "--junitxml=$report.xml" "--profile=${AES_AUDIT_PROFILE:-control}")
[ -z "${AES_AUDIT_MODEL:-}" ] || options+=("--model=$AES_AUDIT_MODEL")
[ -z "${AES_AUDIT_BASE_MODEL:-}" ] || options+=("--base-model=$AES_AUDIT_BASE_MODEL")
[ -z "${AES_AUDIT_REWARD:-}" ] || options+=("--reward=$AES_AUDIT_REWARD")
if [ -d audits ]; then audits=(audits/); else audits=(--pyargs aes_audit.audits); fi

python -m pytest "${audits[@]}" "${options[@]}" "$@"
code=$?
echo "verdict: $(aes-audit report verdict "$report" 2>/dev/null || echo error)"
exit "$code"
