"""Compares several models side by side: which is the fastest here, what does it cost, and how sure is that.

One query at a time, the next when the last is answered, as MLPerf's single stream has it
(https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc); the headline is the 90th percentile.
Each model lives in a process of its own, so that its memory is its own and its crash is a row, not the end.
The processes take turns in rounds, in rotated order, so that heat and neighbours hit all alike.

    comparison  candidates -> rows            worker_process  the inside of a candidate's process
    verdict     rows -> pairs, front, gate    worker       its outside
"""
