"""What reports claim, trained again and laid beside: the studies, the plan, the comparison, the page."""
