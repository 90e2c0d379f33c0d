"""Connected components of graphs that no driver holds: alternating large-star and small-star, on tables.

Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected Components in MapReduce and Beyond" (SoCC 2014).
*Large-star*: each vertex links its larger neighbours to the smallest of its neighbours and itself. *Small-star*: each
vertex links itself and its smaller neighbours to the smallest of these. Both keep the components and the number of
edges never grows; when every component is a star around its smallest vertex, nothing changes any more. The number of
rounds grows with the logarithm of the longest path.
"""
