"""The auditor's verifier: stands alone and shares no code with the rest of gameday.

It believes nobody but the keys, roots and checkpoint that the auditor brings. Read it in this order:

    lines        the five lines of the answer, and what a problem is
    strictjson   RFC 8785 canonical JSON, as narrow as the format asks
    folder       files of a bundle, opened without following anything out of it
    trust        trust.yaml
    integrity    manifest and files, both ways (line 1)
    chain        history.jsonl and the slices of the segments, read once as streams (line 1)
    segments     samples, load and ledger as columns
    dsse         envelopes (DSSE, in-toto)
    sshsig       SSH signatures and allowed_signers
    people       who approved and who signed off (line 2)
    stamps       RFC 3161 tokens and their order (line 3)
    register     the Merkle log of all drills (RFC 6962) and its signed notes (line 4)
    complete     what the register and the folder must hold (line 4)
    levels, run, recovery, data, stores, others, clocks
                 what the raw records say, computed anew (line 5)
    recompute    all findings, and where the stated ones differ (line 5)
    verify       all of it in order
"""

__version__ = "0.1.0"
