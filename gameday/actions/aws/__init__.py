"""AWS faults, failover steps and probes with boto3, for what chaostoolkit-aws lacks or does unsafely.

Every function takes `account` and `region` from the plan and asks STS who it is before anything else,
in a session of its own: no profile of an earlier call sticks. See `session` for calls and errors,
`prior` for what an undo puts back. Emulators are reached by AWS_ENDPOINT_URL alone.
"""
