def compile_report(c, s): return {}
def ladder_report(a, o, l): return {}
