// A table stands in the page from the start.
TALON.views.table = () => {};
