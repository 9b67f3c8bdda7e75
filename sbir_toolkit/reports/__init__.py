"""What people see: charts, tables, the report of each stage, and the page that lists the runs.

`charts` draws frames that follow the tables' contracts, `tables` shows them, `html` turns an executed
notebook into a report, and `index_page` lists the runs with their reports. Everything here is a single file
that opens without a network: no script, no font and no picture is fetched from anywhere. The same inputs give
the same bytes.

matplotlib and nbconvert are used in this room only, and are imported by the modules that need them.
"""
