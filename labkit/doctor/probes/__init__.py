"""What the doctor asks in processes of their own.

Scripts, run by their paths: the first argument is the folder that has
labutils in it. Each prints facts as lines of JSON, the earlier ones before
what may fail.
"""
