"""All defences over the same fine-tunes, each measured in the same way: one table.

    from safebasin.defence_bench.settings import BenchConfig
    from safebasin.defence_bench.study import bench

    print(bench(BenchConfig(defences=("none", "mixture"), tunes=("harmful-10",), seeds=1)).folder)

A cell is one defence, one fine-tune and one seed. Its record is written when it is finished, so
that the same call goes on where an interrupted one stopped.
"""
