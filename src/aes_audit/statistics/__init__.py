"""How sure a number is: intervals, paired tests, AUROC, multiplicity and power.

Pure functions of arrays; numpy and scipy only. Nothing here knows an evidence table, a model or a threshold file.
"""
