"""What people look at: tables, curves, filmstrips and pages made of results."""
