"""Six steps over one Parquet file, as functions that hand each other references to files.

A step takes references ("path#digest of the content"), writes one file and gives its reference. So every tool moves
and compares a short text, and none pays for another's way of storing arrays.
"""
