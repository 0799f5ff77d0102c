#!/usr/bin/env bash
# A reader of X12 files the orders of one partner under the envelope of another.
#
# Guess:    a file holds three interchanges, of three senders. Each ISA names separators of its own, so a reader that
#           takes several interchanges a file reads a second one that has another segment terminator, or stops there.
# Instead:  draftedi cuts the whole file at the terminator of the first ISA, and so takes the second interchange and
#           the third one's ISA for one segment. It answers two interchanges, without an error: the second has the
#           header of the second sender, and the group and the order of the *third*. Its check of the order finds
#           nothing.
# Versions: draftedi 1.3.0. Its element separator does follow each ISA.
# Source:   draftedi/parser.py (parse_edi_file). By its docstring each ISA "overrides the active repetition and
#           component separators"; it says nothing of the terminator.
# Means:    of a file of several interchanges each is cut out first, by its own ISA; an answer without an error is no
#           sign that each order stands under its own sender.
set -euo pipefail
. "$(dirname "$0")/lib.bash"
begin_with draftedi==1.3.0
look <<'PYTHON'
import seen
from draftedi import check_envelope, parse_edi_file

SENDERS = ("FIRST", "SECOND", "THIRD")


def interchange(number, sender, terminator):
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{sender:15}*ZZ*{'RECEIVER':15}*261102*1200*^*00501*{number:09}*0*P*:"
    segments = (
        isa,
        f"GS*PO*{sender}*RECEIVER*20261102*1200*{number}*X*005010",
        f"ST*850*{number:04}",
        f"BEG*00*NE*ORDER OF {sender}**20261102",
        f"SE*3*{number:04}",
        f"GE*1*{number}",
        f"IEA*1*{number:09}",
    )
    return "".join(segment + terminator for segment in segments)


def read(*terminators):
    """Of each interchange its sender, and the senders of the groups in it."""
    text = "".join(interchange(number, *of) for number, of in enumerate(zip(SENDERS, terminators, strict=True), 1))
    found = parse_edi_file(text.encode())["interchanges"]
    for each in found:
        for group in each["groups"]:
            for order in group["transactions"]:
                issues = check_envelope(order, order["segments"])
                line = order["segments"][0]["raw_segment"]
                seen.show(f"  ISA {each['isa_sender_id'].strip()}: {line}, issues: {issues}")
    return [(each["isa_sender_id"].strip(), [group["gs_sender_id"] for group in each["groups"]]) for each in found]


seen.show("the same terminator three times:")
same = read("~", "~", "~")
seen.as_stated(same == [(sender, [sender]) for sender in SENDERS], f"with one terminator they are read as {same}.")
seen.show("the second interchange has another terminator:")
mixed = read("~", "'", "~")
seen.as_stated(mixed == [("FIRST", ["FIRST"]), ("SECOND", ["THIRD"])], f"with another one they are read as {mixed}.")
seen.show("AS STATED: the order of the third sender stands under the envelope of the second.")
PYTHON
