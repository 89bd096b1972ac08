"""What commands do on the workers of a cluster beside archives: score models, look at boards, compare on each."""
