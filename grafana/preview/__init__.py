"""Pictures of the dashboards, drawn outside of Grafana; see README.md."""
